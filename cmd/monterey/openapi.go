package main

import "monterey/internal/httpapi"

type openapiCommand struct{}

func (c *openapiCommand) Run(p *program) error {
	document, err := httpapi.OpenAPI()
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(append(document, '\n'))
	return err
}
